"""The build step that puts ``scenarios/`` into a wheel, as ``fedleak/shipped/``; everything else is declared."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SCENARIOS = Path("scenarios")


class BuildWithScenarios(build_py):
    """Copies the scenarios beside the modules; an editable install reads them where they are."""

    def run(self) -> None:
        """Build the package, then add the scenarios."""
        super().run()
        if not self.editable_mode:
            for source, target in self._scenarios().items():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target, preserve_mode=False)

    def get_source_files(self) -> list[str]:
        """With the scenarios, so that a source distribution holds them."""
        return [*super().get_source_files(), *self._scenarios()]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """With the scenarios, which an editable install does not copy."""
        copied = [] if self.editable_mode else list(self._scenarios().values())
        return [*super().get_outputs(include_bytecode), *copied]

    def _scenarios(self) -> dict[str, str]:
        """Source -> place in the build."""
        target = Path(self.build_lib, "fedleak", "shipped")
        return {str(p): str(target / p.relative_to(SCENARIOS)) for p in sorted(SCENARIOS.rglob("*.yaml"))}


setup(cmdclass={"build_py": BuildWithScenarios})
