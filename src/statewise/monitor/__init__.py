"""A trained policy at work: its exported file and a runner without JAX, a monitor of its risk, and maps of it.

`export` and the maps need JAX, and `guard` Gymnasium; the others need NumPy and safetensors, or ONNX Runtime.
"""

from statewise.monitor.risk_monitor import RiskMonitor, RiskReading

__all__ = ["RiskMonitor", "RiskReading"]
