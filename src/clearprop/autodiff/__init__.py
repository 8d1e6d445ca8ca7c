"""Differentiation of programs and of the tape: reverse, forward, batching, and the transforms made of them.

Open to other folders: `batching`, `choices`, `custom`, `derivative_check`, `directions`, `linear_maps`, `pickling`,
`reverse`, `transforms`, `trees`.
"""
