package dev.tflitesparse.demo.logic

import dev.tflitesparse.demo.classifier.Score
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test

class DemoStateTest {
    private val golden = Golden.parse(
        """{"samples": [{"input": [0.5], "label": 1}, {"input": [1], "label": null}], "outputs": {}}""",
    )
    private val labels = listOf("zero", "one")
    private val latency = Latency(100, 0.25, 0.5)
    private val scores = listOf(Score(1, "one", 0.9f), Score(0, "zero", 0.1f))

    @Test
    fun atFirstThereIsNothingToRun() {
        assertFalse(DemoState().isReady)
        assertEquals("Draw a digit, or take a bundled image.", DemoState().headline())
        assertEquals(ModelChoice.SPARSE_INT8, DemoState().model)
    }

    @Test
    fun aDrawingCanBeRunOnce() {
        val drawn = DemoState().drew()
        assertTrue(drawn.isReady)
        assertFalse(drawn.working().isReady)
        assertEquals("Running sparse int8 ...", drawn.working().headline())
    }

    @Test
    fun samplesFollowOneAnotherInACircle() {
        var state = DemoState().drew()
        val seen = List(3) { state.nextSample(golden, labels).also { state = it }.input }
        assertEquals(listOf(Input.Sample(0, "one"), Input.Sample(1, null), Input.Sample(0, "one")), seen)
    }

    @Test
    fun aResultIsToldWithWhatTheImageIs() {
        val found = DemoState().nextSample(golden, labels).working().classified(scores, latency)
        assertEquals("one, labelled one; median of 100 runs 0.250 ms", found.headline())
        assertEquals("one; median of 100 runs 0.250 ms", DemoState().drew().classified(scores, latency).headline())
        assertTrue(found.isReady)
    }

    @Test
    fun anotherFileKeepsTheInputAndDropsTheResult() {
        val found = DemoState().drew().classified(scores, latency).choose(ModelChoice.DENSE_INT8)
        assertEquals(DemoState(ModelChoice.DENSE_INT8, input = Input.Drawn), found)
        assertEquals("Ready.", found.headline())
    }

    @Test
    fun clearingAndDrawingDropTheResult() {
        val found = DemoState().drew().classified(scores, latency)
        assertEquals(DemoState(), found.cleared())
        assertEquals(Outcome.None, found.drew().outcome)
    }

    @Test
    fun aFailureIsTold() {
        assertEquals("model.tflite is missing.", DemoState().drew().failed("model.tflite is missing.").headline())
    }
}
