"""netfast beside its rivals: one module a claim, `baselines` with every rival, `data` with seeded inputs."""
