"""Third stage: compare reconstructions with the truth, which only this stage opens."""
