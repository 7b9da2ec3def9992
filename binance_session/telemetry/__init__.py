"""A session's numbers for Prometheus and OpenTelemetry: read when they are asked for, never on the way of an answer.

``telemetry.prometheus`` needs the extra ``[prometheus]``, ``telemetry.opentelemetry`` the extra ``[opentelemetry]``.
"""
