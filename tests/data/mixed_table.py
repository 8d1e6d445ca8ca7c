"""A table with columns of every kind, and with holes; as a file."""

import numpy as np
import polars


def table(rows, seed=0):
    rng = np.random.default_rng(seed)
    size = rng.normal(size=rows) * 10
    return polars.DataFrame(
        {
            "id": np.arange(rows),
            "size": size,
            "price": rng.gamma(2, 3, rows).round(2),
            "colour": rng.choice(["red", "green", "blue", None], rows).tolist(),
            "code": rng.choice(["1", "2", "17", "A"], rows, p=[0.3, 0.3, 0.2, 0.2]),
            "holes": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "even": rng.random(rows) < 0.5,
            "count": rng.integers(0, 9, rows),
            "kind": np.where(size + rng.normal(size=rows) > 3, "high", np.where(size < -8, "low", "middle")),
        }
    ).with_columns(polars.col("holes").fill_nan(None))


def saved(folder, frame, form):
    path = folder / f"t.{form}"
    if form == "csv":
        frame.write_csv(path)
    elif form == "npy":
        np.save(path, as_array(frame))
    else:
        frame.write_parquet(path, row_group_size=max(1, len(frame) // 7))
    return path


def as_array(frame):
    """The table as an array with named fields, which has no gaps but NaN: texts that are missing are `none`."""
    frame = frame.with_columns(polars.col(polars.String).fill_null("none"))
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    columns = {name: values.astype(str) if values.dtype == object else values for name, values in columns.items()}
    array = np.zeros(len(frame), [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        array[name] = values
    return array
