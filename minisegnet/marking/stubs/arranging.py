"""What stands in the stubs of the ops that only move numbers."""

TEXTS = {
    "crop2d": """\
Cut out the middle of a map (lesson 10).

Rows from (H - h) // 2 on, h of them; columns alike.

x: (N, C, H, W).  size: (h, w), or one integer for both.  y: (N, C, h, w), an array of its own.

>>> crop2d(np.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
[[[[5.0, 6.0], [9.0, 10.0]]]]
>>> crop2d(np.array([[[[1.0, 2, 3, 4]]]]), (1, 1)).tolist()
[[[[2.0]]]]
""",
    "crop2d_backward": """\
Bring dy back through crop2d: it lies in the middle of zeros.

dy: (N, C, h, w).  input_size: (H, W), or one integer for both.  dx: (N, C, H, W).

>>> crop2d_backward(np.array([[[[7.0]]]]), (1, 4)).tolist()
[[[[0.0, 7.0, 0.0, 0.0]]]]
""",
    "add": """\
Add two arrays of one shape: FCN joins its skips so (lesson 10).

y = a + b.

>>> add(np.array([1.0, 2]), np.array([10.0, 20])).tolist()
[11.0, 22.0]
""",
    "add_backward": """\
Bring dy back through add: both inputs get it.

da = dy and db = dy, in two arrays of their own: whoever changes one must not change the other.

>>> da, db = add_backward(np.array([3.0]))
>>> da.tolist(), db.tolist(), da is db
([3.0], [3.0], False)
""",
    "concat": """\
Put arrays side by side along an axis: U-Net joins its skips so (lesson 12).

arrays: a list of arrays that agree in all other axes.  axis may count from the end.

>>> concat([np.array([[1.0]]), np.array([[2.0, 3]])]).tolist()
[[1.0, 2.0, 3.0]]
""",
    "concat_backward": """\
Bring dy back through concat: cut it into the parts again.

sizes: the length of each part along the axis.  Returns a list of arrays.

>>> [part.tolist() for part in concat_backward(np.array([[1.0, 2, 3]]), [1, 2])]
[[[1.0]], [[2.0, 3.0]]]
""",
    "pad2d": """\
Put a frame around each map (lesson 12): of zeros, or of the map mirrored at its edge.

x: (N, C, H, W).  padding (ph, pw): rows above and below, columns left and right; or one integer for both.
mode: "zero" or "reflect". Mirrored, the edge itself isn't repeated: row -1 is row 1.
y: (N, C, H + 2*ph, W + 2*pw).

>>> x = np.array([[[[1.0, 2, 3]]]])
>>> pad2d(x, (0, 1)).tolist(), pad2d(x, (0, 2), mode="reflect").tolist()
([[[[0.0, 1.0, 2.0, 3.0, 0.0]]]], [[[[3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]]]])
""",
    "pad2d_backward": """\
Bring dy back through pad2d: cut the frame off; what was mirrored is added to the pixel that it came from.

dy: (N, C, H + 2*ph, W + 2*pw).  padding and mode: the forward's.  dx: (N, C, H, W).

>>> dy = np.array([[[[1.0, 2, 3, 4, 5]]]])
>>> pad2d_backward(dy, (0, 1)).tolist(), pad2d_backward(dy, (0, 1), mode="reflect").tolist()
([[[[2.0, 3.0, 4.0]]]], [[[[2.0, 9.0, 4.0]]]])
""",
}
