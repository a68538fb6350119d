"""What stands in the stubs of max pooling and unpooling."""

TEXTS = {
    "max_pool2d": """\
Keep the largest number of each window, and remember where it stood (lesson 5).

y[n,c,i,j] = the largest x[n,c,r,q] with r = i*sh - ph + u*dh, q = j*sw - pw + v*dw, over u < KH and v < KW.
indices[n,c,i,j] = r*W + q of that number: its place in the H x W map, counted row by row, without the padding.
Of equal numbers the first wins, row by row. Padding never wins: it counts as minus infinity.
A NaN wins over everything, so that it is seen; of several NaN the last.

x: (N, C, H, W).  y and indices (integers): (N, C, OH, OW) with OH = (H + 2*ph - dh*(KH - 1) - 1) // sh + 1.
kernel_size (KH, KW), stride, padding, dilation: an integer for both, or a pair (down, across).
stride=None: as large as the window.
ceil_mode=True: the division rounds up, so that a last window may hang over the edge; but if it would start
in the padding on that side, (OH - 1)*sh >= H + ph, it is left out.

The numbers of lesson 5:

>>> x = np.array([[[[1.0, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]]]])
>>> y, indices = max_pool2d(x, 2)
>>> y.tolist(), indices.tolist()
([[[[5.0, 6.0], [7.0, 8.0]]]], [[[[5, 2], [12, 15]]]])
""",
    "max_pool2d_backward": """\
Bring dy back through max_pool2d: each dy goes to the place of its maximum (lesson 5).

dx[n,c] at the flat place indices[n,c,i,j] += dy[n,c,i,j]; elsewhere dx is 0.
Where windows overlap, one place can win several times, and gets the sum.

dy and indices: (N, C, OH, OW).  input_size: (H, W) of the forward's input, or one integer for both.
dx: (N, C, H, W).

The row 1, 5, 2 of lesson 5: its 5, at place 1, wins both windows.

>>> max_pool2d_backward(np.array([[[[10.0, 1]]]]), np.array([[[[1, 1]]]]), (1, 3)).tolist()
[[[[0.0, 11.0, 0.0]]]]
""",
    "max_unpool2d": """\
Put each value back to the place where its maximum once stood; everything else is 0 (lesson 5).

y[n,c] at the flat place indices[n,c,i,j] = x[n,c,i,j]. Where two values go to one place, the last one stays
(row by row).

x and indices: (N, C, H, W).  output_size: (OH, OW), or one integer for both; places count in OH x OW.
y: (N, C, OH, OW).

>>> x, indices = np.array([[[[1.0, 2], [3, 4]]]]), np.array([[[[5, 2], [12, 15]]]])
>>> max_unpool2d(x, indices, 4).tolist()[0][0]
[[0.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 0.0, 4.0]]
""",
    "max_unpool2d_backward": """\
Bring dy back through max_unpool2d: each input reads at the place that it was put to (lesson 5).

dx[n,c,i,j] = dy[n,c] at the flat place indices[n,c,i,j].

dy: (N, C, OH, OW).  indices and dx: (N, C, H, W).

>>> max_unpool2d_backward(np.array([[[[1.0, 2], [3, 4]]]]), np.array([[[[3, 0]]]])).tolist()
[[[[4.0, 1.0]]]]
""",
}
