"""From a traced function to one native call: lowering, fusion, buffers, sources, executors."""
