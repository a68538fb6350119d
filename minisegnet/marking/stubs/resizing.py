"""What stands in the stubs of interpolation."""

TEXTS = {
    "resize_bilinear": """\
Make a map larger or smaller; between two pixels mix both, the nearer one more (lesson 7).

Output row i reads place  (i + 0.5) * H/OH - 0.5   (a pixel is a square: align_corners=False)
                      or  i * (H - 1)/(OH - 1)     (a pixel is a point: align_corners=True; 0 where OH is 1).
A place below 0 counts as 0, one above H - 1 as H - 1: at the edge the edge is repeated.
Between rows r and r + 1, a part t of the way, it takes (1 - t) of the one and t of the other. Columns alike.

x: (N, C, H, W).  size: (OH, OW), or one integer for both.  y: (N, C, OH, OW).

The row 0, 4 of lesson 7:

>>> x = np.array([[[[0.0, 4]]]])
>>> resize_bilinear(x, (1, 4)).tolist(), resize_bilinear(x, (1, 5), align_corners=True).tolist()
([[[[0.0, 1.0, 3.0, 4.0]]]], [[[[0.0, 1.0, 2.0, 3.0, 4.0]]]])
""",
    "resize_bilinear_backward": """\
Bring dy back through resize_bilinear: to the pixels that were mixed, by the same shares (lesson 7).

If y[i] = (1 - t) * x[r] + t * x[r + 1], then dx[r] += (1 - t) * dy[i] and dx[r + 1] += t * dy[i].

dy: (N, C, OH, OW).  input_size: (H, W), or one integer for both.  dx: (N, C, H, W).

The outputs of 0, 4 above are 0, 1, 3, 4: the shares of the 0 are 1, 3/4, 1/4, 0.

>>> resize_bilinear_backward(np.array([[[[1.0, 4, 8, 0]]]]), (1, 2)).tolist()
[[[[6.0, 7.0]]]]
""",
    "resize_nearest": """\
Make a map larger or smaller by repeating pixels or leaving some out (lesson 7).

y[n,c,i,j] = x[n,c,r,q] with r = i*H // OH and q = j*W // OW. (In integers: no rounding can go wrong.)

x: (N, C, H, W).  size: (OH, OW), or one integer for both.  y: (N, C, OH, OW).

>>> resize_nearest(np.array([[[[1.0, 2]]]]), (2, 4)).tolist()
[[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
""",
    "resize_nearest_backward": """\
Bring dy back through resize_nearest: each dy goes to the pixel that was copied, and they add.

dx[n,c,r,q] += dy[n,c,i,j] with r = i*H // OH and q = j*W // OW.

dy: (N, C, OH, OW).  input_size: (H, W), or one integer for both.  dx: (N, C, H, W).

>>> resize_nearest_backward(np.array([[[[1.0, 2, 3, 4]]]]), (1, 2)).tolist()
[[[[3.0, 7.0]]]]
""",
}
