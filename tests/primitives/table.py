"""The table: one row or more for every primitive of the registry."""

from tests.primitives import convolution_rows, elementwise_rows, on_demand_rows, reduction_rows, structural_rows

TABLE = [
    *elementwise_rows.ROWS,
    *structural_rows.ROWS,
    *reduction_rows.ROWS,
    *on_demand_rows.ROWS,
    *convolution_rows.ROWS,
]
