from pc_pipeline_tests.stages.conftest import worlds  # noqa: F401 (a fixture)
