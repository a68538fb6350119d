"""What stands in the stubs of softmax and the losses."""

_OPTIONS = """\
weight: a number for each class, (C,).  pixel_weight: one for each target, of target's shape.  Both multiply.
ignore_index: targets with this label don't count: no loss, no gradient (not even a NaN gets through).
reduction: "none": each loss by itself; "sum": their sum; "mean": the sum, divided by the sum of the weights
(weight times pixel_weight; 1 where there are none) of the targets that count. If that is 0, the loss is 0.
"""

TEXTS = {
    "softmax": """\
Make probabilities of scores: e to each, divided by the sum along an axis (lesson 8).

y[c] = exp(x[c]) / sum of exp(x) along the axis. Scores of 1000 must work: subtract the largest one first.

x and y: one shape, any number of axes.  axis may count from the end.

>>> softmax(np.log([[1.0, 3], [2, 2]])).round(6).tolist(), softmax(np.array([[1000.0, 1000]])).tolist()
([[0.25, 0.75], [0.5, 0.5]], [[0.5, 0.5]])
""",
    "softmax_backward": """\
Bring dy back through softmax.

dx[c] = y[c] * (dy[c] - sum of dy * y along the axis): each score acts on all the probabilities.

dy, y (what softmax returned) and dx: one shape.

>>> softmax_backward(np.array([[1.0, 0]]), np.array([[0.25, 0.75]])).tolist()
[[0.1875, -0.1875]]
""",
    "log_softmax": """\
The logarithm of softmax, without computing softmax: for that may be 0 (lesson 8, exercise 2).

y[c] = x[c] - m - log(sum of exp(x - m)), where m is the largest score along the axis.

x and y: one shape, any number of axes.  axis may count from the end.

>>> log_softmax(np.array([[1000.0, 0]])).round(6).tolist()
[[0.0, -1000.0]]
>>> np.exp(log_softmax(np.log([[1.0, 3]]))).round(6).tolist()
[[0.25, 0.75]]
""",
    "log_softmax_backward": """\
Bring dy back through log_softmax.

dx[c] = dy[c] - exp(y[c]) * sum of dy along the axis.

dy, y (what log_softmax returned) and dx: one shape.

>>> log_softmax_backward(np.array([[1.0, 3]]), np.log([[0.25, 0.75]])).round(6).tolist()
[[0.0, 0.0]]
>>> log_softmax_backward(np.array([[1.0, 0]]), np.log([[0.25, 0.75]])).round(6).tolist()
[[0.75, -0.75]]
""",
    "softmax_cross_entropy": f"""\
Minus the logarithm of the probability that softmax gives to the true class (lesson 8).

loss[i] = -weight[t] * pixel_weight[i] * log(p[i,t]), t = target[i], p = softmax of the scores.
By log_softmax: the logarithm of a probability that has become 0 would be infinite.

logits: scores (N, C) or (N, C, H, W).  target: labels, integers, (N,) or (N, H, W).
{_OPTIONS}
Returns loss (of target's shape for "none", else an array without axes) and probs, the softmax of the logits.

The pixels A and B of lesson 8, with the probabilities 1/4, 3/4 and 1/2, 1/2:

>>> logits, target = np.log([[1.0, 3], [1, 1]]), np.array([1, 0])
>>> loss, probs = softmax_cross_entropy(logits, target)
>>> round(float(loss), 3), probs.round(6).tolist()
(0.49, [[0.25, 0.75], [0.5, 0.5]])
>>> softmax_cross_entropy(logits, target, reduction="none")[0].round(3).tolist()
[0.288, 0.693]
""",
    "softmax_cross_entropy_backward": f"""\
Bring dloss back to the scores (lesson 8).

dlogits[i,c] = dloss[i] * weight[t] * pixel_weight[i] * (probs[i,c] - (1 if c == t else 0)), t = target[i].
For "mean", divided by the same sum as the loss. (For "mean" and "sum", dloss is one number for all.)

dloss: of the loss's shape, or a number.  probs: what the forward returned.  dlogits: of their shape.
{_OPTIONS}
>>> probs, target = np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([1, 0])
>>> softmax_cross_entropy_backward(1.0, probs, target, reduction="sum").tolist()
[[0.25, -0.25], [-0.5, 0.5]]
>>> softmax_cross_entropy_backward(1.0, probs, target).tolist()
[[0.125, -0.125], [-0.25, 0.25]]
""",
    "bce_with_logits": """\
Cross-entropy of two classes with one score for each: is it there or not?

loss = weight * pixel_weight * (log(1 + exp(-|z|)) + max(z, 0) - z*t), score z, target t from 0 to 1.
That is -t*log(p) - (1 - t)*log(1 - p) with p = 1/(1 + exp(-z)), written so that no exponential is too large.

logits: any shape.  target: of the same shape, numbers from 0 to 1.
weight and pixel_weight: numbers that multiply; each fits the logits' shape by broadcasting.
ignore_index: targets that equal it don't count: no loss, not counted in the mean.
reduction: "none", "sum", or "mean": the sum divided by how many count (whatever they weigh); 0 if none counts.
Returns the loss: of the logits' shape for "none", else an array without axes.

>>> loss = bce_with_logits(np.log([3.0, 1]), np.array([1.0, 0]), reduction="none")
>>> np.exp(-loss).round(6).tolist()
[0.75, 0.5]
>>> round(float(bce_with_logits(np.log([3.0, 1]), np.array([1.0, 0]))), 3)
0.49
""",
    "bce_with_logits_backward": """\
Bring dloss back to the scores.

dlogits = dloss * weight * pixel_weight * (p - t), with p = 1/(1 + exp(-z)); 0 where the target is ignored.
For "mean", divided by how many count. (For "mean" and "sum", dloss is one number for all.)

dloss: of the loss's shape, or a number.  logits, target and dlogits: one shape.  The options are the forward's.

>>> bce_with_logits_backward(1.0, np.zeros(2), np.array([1.0, 0]), reduction="sum").tolist()
[-0.5, 0.5]
>>> bce_with_logits_backward(1.0, np.zeros(2), np.array([1.0, 0])).tolist()
[-0.25, 0.25]
""",
}
