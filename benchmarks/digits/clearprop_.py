import clearprop as cl
from benchmarks.digits.common import BATCH, GOAL, MOST, RATE, SIZES, arguments, done, initial

data, seed = arguments()
model = cl.nn.mlp(list(SIZES))
places = [p for p in model.parameters() if p.endswith("weight")]
for path, (weight, bias) in zip(places, initial(seed), strict=True):
    model = model.replace({path: weight, path.replace("weight", "bias"): bias})


def enough(event, state):
    return "stop" if event["event"] == "epoch" and event["validation"]["accuracy"] >= GOAL else None


run = cl.fit(
    model, (data["x_train"], data["y_train"]), optimizer=cl.optim.adam(RATE), batch_size=BATCH, epochs=MOST, seed=seed,
    validation=(data["x_val"], data["y_val"]), metrics=["accuracy"], callbacks=[enough],
)  # fmt: skip
done(len(run.history), run.history[-1]["validation"]["accuracy"])
