module gopark.example/benchmarks

go 1.22
