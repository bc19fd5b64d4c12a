#!/usr/bin/env bash
# fedleak verify on $STUDY, with its table as a comment in $RUNNER_TEMP; the exit code is that of fedleak.
set -uo pipefail
out="$RUNNER_TEMP/fedleak-study" text="$RUNNER_TEMP/fedleak-output.txt" comment="$RUNNER_TEMP/fedleak-comment.md"
options=(--out "$out" ${BUDGET:+--budget "$BUDGET"})
read -ra further <<<"${ARGUMENTS:-}"

fedleak verify "$STUDY" "${options[@]}" ${further[@]+"${further[@]}"} 2> >(tee "$text.errors" >&2) | tee "$text"
code=${PIPESTATUS[0]}
if [ "$code" = 0 ]; then state="passed"; else state="failed (exit code $code)"; fi
{
    printf '### fedleak verify %s: %s\n\n````text\n' "$STUDY" "$state"
    if [ -s "$text" ]; then head -c 60000 "$text"; else tail -c 4000 "$text.errors"; fi
    printf '````\n'
} >"$comment"
cat "$comment" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
if [ -s "$out/report.html" ]; then echo "report=$out/report.html" >>"${GITHUB_OUTPUT:-/dev/null}"; fi
exit "$code"
