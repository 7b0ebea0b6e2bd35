"""A trained policy at work, without JAX: its exported file, a runner, and a monitor of its risk.

`export` alone needs JAX, and `guard` Gymnasium; the others need NumPy and safetensors, or ONNX Runtime.
"""

from statewise.monitor.risk_monitor import RiskMonitor, RiskReading

__all__ = ["RiskMonitor", "RiskReading"]
