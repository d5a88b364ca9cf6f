"""What the library counts, for monitoring systems. Each needs its own extra: `itly-web[prometheus]`, `[opentelemetry]`."""
