package dev.tflitesparse.demo.logic

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import kotlin.math.abs

private const val SIDE = 28

class DrawingTest {
    private fun stroke(vararg points: Pair<Float, Float>) = Drawing().apply {
        points.forEachIndexed { index, (x, y) -> if (index == 0) start(x, y) else moveTo(x, y) }
    }

    private fun centre(image: FloatArray): Pair<Float, Float> {
        val mass = image.sum()
        val x = image.indices.map { image[it] * (it % SIDE + 0.5f) }.sum() / mass
        val y = image.indices.map { image[it] * (it / SIDE + 0.5f) }.sum() / mass
        return x to y
    }

    private fun inked(image: FloatArray) = image.indices.filter { image[it] > 0 }

    @Test
    fun nothingDrawnIsPaper() {
        val drawing = Drawing()
        assertTrue(drawing.isEmpty)
        assertArrayEquals(FloatArray(SIDE * SIDE), drawing.toImage(SIDE, SIDE), 0f)
    }

    @Test
    fun clearingLeavesPaper() {
        val drawing = stroke(0f to 0f, 10f to 10f)
        drawing.clear()
        assertTrue(drawing.isEmpty)
        assertEquals(0f, drawing.toImage(SIDE, SIDE).sum(), 0f)
    }

    @Test
    fun aVerticalStrokeFillsTwentyOfTwentyEightRows() {
        val ink = inked(stroke(300f to 100f, 300f to 900f).toImage(SIDE, SIDE))
        val rows = ink.map { it / SIDE }
        val columns = ink.map { it % SIDE }
        assertTrue("${rows.min()} to ${rows.max()}", rows.max() - rows.min() + 1 in 20..22)
        assertTrue("${columns.min()} to ${columns.max()}", columns.max() - columns.min() + 1 in 2..4)
    }

    @Test
    fun sizeAndPlaceOnTheViewDoNotMatter() {
        val small = stroke(0f to 0f, 10f to 0f, 3f to 20f).toImage(SIDE, SIDE)
        val large = stroke(500f to 700f, 600f to 700f, 530f to 900f).toImage(SIDE, SIDE)
        assertArrayEquals(small, large, 1e-3f)
    }

    @Test
    fun theCentreOfMassIsInTheMiddle() {
        for (drawing in listOf(
            stroke(0f to 0f, 10f to 0f, 3f to 20f),
            stroke(0f to 0f, 0f to 50f, 30f to 50f),
            stroke(5f to 5f),
        )) {
            val (x, y) = centre(drawing.toImage(SIDE, SIDE))
            assertTrue("$x, $y", abs(x - SIDE / 2f) <= 0.6f && abs(y - SIDE / 2f) <= 0.6f)
        }
    }

    @Test
    fun inkIsBetweenZeroAndOneAndReachesOne() {
        val image = stroke(0f to 0f, 10f to 7f, 3f to 20f).toImage(SIDE, SIDE)
        assertEquals(0f, image.min(), 0f)
        assertEquals(1f, image.max(), 0f)
        assertTrue("no soft edge", image.any { it > 0.1f && it < 0.9f })
    }

    @Test
    fun aTapIsADot() {
        val ink = inked(stroke(40f to 40f).toImage(SIDE, SIDE))
        assertTrue("${ink.size} pixels", ink.size in 4..16)
    }

    @Test
    fun twoStrokesAreNotJoined() {
        val drawing = stroke(0f to 0f, 0f to 100f)
        drawing.start(100f, 0f)
        drawing.moveTo(100f, 100f)
        val image = drawing.toImage(SIDE, SIDE)
        assertEquals(0f, image[SIDE / 2 * SIDE + SIDE / 2], 0f)
        val strokes = buildList { drawing.forEachStroke { add(it.toList()) } }
        assertEquals(listOf(listOf(0f, 0f, 0f, 100f), listOf(100f, 0f, 100f, 100f)), strokes)
    }

    @Test
    fun aCopyDoesNotSeeWhatFollows() {
        val drawing = stroke(0f to 0f, 10f to 20f)
        val copy = drawing.copy()
        drawing.moveTo(30f, 0f)
        assertArrayEquals(stroke(0f to 0f, 10f to 20f).toImage(SIDE, SIDE), copy.toImage(SIDE, SIDE), 0f)
    }

    @Test
    fun anyImageSizeWillDo() {
        val image = stroke(0f to 0f, 10f to 20f).toImage(64, 48)
        assertEquals(64 * 48, image.size)
        assertEquals(1f, image.max(), 0f)
    }
}
