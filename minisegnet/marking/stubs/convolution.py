"""What stands in the stubs of convolution and transposed convolution."""

TEXTS = {
    "conv2d": """\
Slide filters over pictures; in each place multiply what lies below, and add up (lesson 2).

y[n,k,i,j] = b[k] + the sum over c, u, v of  w[k,c,u,v] * x[n,c,r,q]
with row r = i*sh - ph + u*dh and column q = j*sw - pw + v*dw.  Outside of x everything counts as 0.

x: pictures (N, C, H, W).  w: filters (K, C/groups, KH, KW).  b: a bias for each filter, (K,), or None: no bias.
y: (N, K, OH, OW) with OH = (H + 2*ph - dh*(KH - 1) - 1) // sh + 1, and OW likewise.
stride (sh, sw), padding (ph, pw), dilation (dh, dw): each an integer for both, or a pair (down, across).
groups: filters and channels are cut into so many parts, neighbours together; the first K/groups filters see the
first C/groups channels only, and so on.

The picture, the filter and the answer of lesson 2, "By hand":

>>> x = np.array([[[[1.0, 2, 0], [0, 1, 3], [2, 1, 0]]]])
>>> w = np.array([[[[1.0, 0], [-1, 2]]]])
>>> conv2d(x, w).tolist()
[[[[3.0, 7.0], [0.0, 0.0]]]]

The upper left window again, now with a bias, and a stride so large that it is the only one:

>>> conv2d(x, w, np.array([0.5]), stride=2).tolist()
[[[[3.5]]]]
""",
    "conv2d_backward": """\
Bring dy, the derivative of the loss for each output of conv2d, back to x, w and b (lesson 3).

The forward adds w[k,c,u,v] * x[n,c,r,q] to y[n,k,i,j]. So, in the same loops,
    dw[k,c,u,v] += dy[n,k,i,j] * x[n,c,r,q]
    dx[n,c,r,q] += dy[n,k,i,j] * w[k,c,u,v]
and db[k] is the sum of dy[n,k,i,j] over n, i, j.

dy: (N, K, OH, OW).  dx, dw, db: the shapes of x, w and b.  The options are the forward's.
need_dx=False: nobody needs dx (a first layer); it may then be None.

The row of lesson 3, "By hand":

>>> dy, x, w = np.array([[[[1.0, -2]]]]), np.array([[[[1.0, 2, 3]]]]), np.array([[[[2.0, -1]]]])
>>> dx, dw, db = conv2d_backward(dy, x, w)
>>> dx.tolist(), dw.tolist(), db.tolist()
([[[[2.0, -5.0, 2.0]]]], [[[[-3.0, -4.0]]]], [-1.0])
""",
    "conv_transpose2d": """\
Let each input pixel paint a copy of the filter, times its value; where copies overlap they add (lesson 6).

y[n,k,r,q] += w[c,k,u,v] * x[n,c,i,j]  with row r = i*sh - ph + u*dh and column q = j*sw - pw + v*dw.
What falls outside of y is left out. Before all that, y holds the bias b[k].

x: (N, C, H, W).  w: (C, K/groups, KH, KW), the input channels first.  b: (K,), or None: no bias.
y: (N, K, OH, OW) with OH = (H - 1)*sh - 2*ph + dh*(KH - 1) + output_padding + 1, and OW likewise.
stride, padding, output_padding, dilation: an integer for both, or a pair (down, across).
output_padding: so many more rows at the bottom and columns on the right; copies may reach into them.
groups: input channels and outputs are cut into so many parts, neighbours together; the first C/groups channels
paint the first K/groups outputs only, and so on.

The table of lesson 6: the input 1, 2 and the filter 1, 10, 100. In the middle 100 and 2 meet.

>>> x, w = np.array([[[[1.0, 2]]]]), np.array([[[[1.0, 10, 100]]]])
>>> conv_transpose2d(x, w, stride=2).tolist()
[[[[1.0, 10.0, 102.0, 20.0, 200.0]]]]
>>> conv_transpose2d(x, w, stride=(1, 2), padding=(0, 1)).tolist()
[[[[10.0, 102.0, 20.0]]]]
""",
    "conv_transpose2d_backward": """\
Bring dy back to x, w and b of conv_transpose2d (lesson 6).

The forward adds w[c,k,u,v] * x[n,c,i,j] to y[n,k,r,q]. So, in the same loops,
    dx[n,c,i,j] += dy[n,k,r,q] * w[c,k,u,v]
    dw[c,k,u,v] += dy[n,k,r,q] * x[n,c,i,j]
and db[k] is the sum of dy[n,k,r,q] over all n, r, q, those where nothing was painted too.

dy: (N, K, OH, OW).  dx, dw, db: the shapes of x, w and b.  The options are the forward's.

The input 1, 2 painted the filter 1, 10, 100 in steps of 2: places 0 1 2 and 2 3 4.

>>> dy = np.array([[[[1.0, 0, 1, 0, 2]]]])
>>> x, w = np.array([[[[1.0, 2]]]]), np.array([[[[1.0, 10, 100]]]])
>>> dx, dw, db = conv_transpose2d_backward(dy, x, w, stride=2)
>>> dx.tolist(), dw.tolist(), db.tolist()
([[[[101.0, 201.0]]]], [[[[3.0, 0.0, 5.0]]]], [4.0])
""",
}
