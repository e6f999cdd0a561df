"""The rig of the kernel lab: plant and emulators behind real device nodes, in a process of their own.

Needs a kernel with CUSE and gpio-sim, and root inside it; scripts/lab brings both. No deployment uses it.
"""
