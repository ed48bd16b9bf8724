from tests.unit.jobs.segments.fake_pipeline import fake_pipeline

__all__ = ["fake_pipeline"]
