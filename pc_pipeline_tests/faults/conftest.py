from pc_pipeline_tests.stages.conftest import world, worlds  # noqa: F401 (fixtures)
