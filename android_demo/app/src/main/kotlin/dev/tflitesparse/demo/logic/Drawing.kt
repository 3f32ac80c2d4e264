package dev.tflitesparse.demo.logic

import kotlin.math.hypot
import kotlin.math.max
import kotlin.math.roundToInt

/**
 * A finger's drawing, as strokes of points and as an image like those that a handwriting model was trained on.
 *
 * Coordinates are those of the view, of any size: only the shape of the strokes counts.
 */
class Drawing {
    private class Point(val x: Float, val y: Float)

    private class Segment(val from: Point, val to: Point) {
        /** Distance of a point from the nearest point of the segment. */
        fun distance(x: Float, y: Float): Float {
            val (dx, dy) = to.x - from.x to to.y - from.y
            val squared = dx * dx + dy * dy
            val along = if (squared == 0f) 0f else (((x - from.x) * dx + (y - from.y) * dy) / squared).coerceIn(0f, 1f)
            return hypot(x - from.x - along * dx, y - from.y - along * dy)
        }
    }

    private val strokes = mutableListOf<MutableList<Point>>()

    val isEmpty: Boolean get() = strokes.isEmpty()

    /** The finger went down. */
    fun start(x: Float, y: Float) {
        strokes += mutableListOf(Point(x, y))
    }

    /** The finger moved; without a [start] before, this starts a stroke. */
    fun moveTo(x: Float, y: Float) {
        if (strokes.isEmpty()) start(x, y) else strokes.last() += Point(x, y)
    }

    fun clear() = strokes.clear()

    /** Copy the strokes, for another thread. */
    fun copy(): Drawing = Drawing().also { copy -> strokes.mapTo(copy.strokes) { it.toMutableList() } }

    /** Visit every stroke as its points x0, y0, x1, y1, ... */
    fun forEachStroke(visit: (FloatArray) -> Unit) =
        strokes.forEach { stroke -> visit(stroke.flatMap { listOf(it.x, it.y) }.toFloatArray()) }

    /**
     * Draw an image as in MNIST: the strokes fit into 20/28 of it, their centre of mass is in the middle.
     *
     * @return [height] rows of [width] values, 0 (paper) to 1 (ink); all 0 for an empty drawing.
     */
    fun toImage(height: Int, width: Int): FloatArray {
        if (isEmpty) return FloatArray(height * width)
        val points = strokes.flatten()
        val (left, right) = points.minOf { it.x } to points.maxOf { it.x }
        val (top, bottom) = points.minOf { it.y } to points.maxOf { it.y }
        val side = minOf(height, width)
        val extent = max(right - left, bottom - top)
        // The ink reaches a pen's radius beyond the points. A dot has no extent and keeps its size.
        val scale = if (extent == 0f) 1f else (side * DIGIT_SHARE - 2 * side * PEN_SHARE) / extent
        val segments = strokes.flatMap { stroke ->
            val placed = stroke.map { point ->
                Point(
                    (point.x - (left + right) / 2) * scale + width / 2f,
                    (point.y - (top + bottom) / 2) * scale + height / 2f,
                )
            }
            if (placed.size == 1) listOf(Segment(placed[0], placed[0])) else placed.zipWithNext(::Segment)
        }
        return centred(ink(segments, height, width, side * PEN_SHARE), height, width)
    }

    private fun ink(segments: List<Segment>, height: Int, width: Int, radius: Float) =
        FloatArray(height * width) { index ->
            val (x, y) = index % width + 0.5f to index / width + 0.5f
            (radius + 0.5f - segments.minOf { it.distance(x, y) }).coerceIn(0f, 1f)
        }

    private fun centred(image: FloatArray, height: Int, width: Int): FloatArray {
        val mass = image.sum()
        val right = (width / 2f - image.indices.map { image[it] * (it % width + 0.5f) }.sum() / mass).roundToInt()
        val down = (height / 2f - image.indices.map { image[it] * (it / width + 0.5f) }.sum() / mass).roundToInt()
        return FloatArray(height * width) { index ->
            val (x, y) = index % width - right to index / width - down
            if (x in 0 until width && y in 0 until height) image[y * width + x] else 0f
        }
    }

    private companion object {
        const val DIGIT_SHARE = 20f / 28
        const val PEN_SHARE = 1.1f / 28 // the radius; MNIST's strokes are 2 to 3 pixels wide
    }
}
