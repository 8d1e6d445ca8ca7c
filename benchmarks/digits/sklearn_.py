import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.digits.common import BATCH, GOAL, MOST, RATE, SIZES, arguments, done

data, seed = arguments()
model = MLPClassifier(SIZES[1:-1], batch_size=BATCH, learning_rate_init=RATE, alpha=0.0, random_state=seed)
for epoch in range(1, MOST + 1):  # noqa: B007 - how far it came is what is reported
    model.partial_fit(data["x_train"], data["y_train"], classes=np.arange(10))
    accuracy = model.score(data["x_val"], data["y_val"])
    if accuracy >= GOAL:
        break
done(epoch, accuracy)
