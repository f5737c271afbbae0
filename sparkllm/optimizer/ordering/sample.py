class SampledCounts: pass
