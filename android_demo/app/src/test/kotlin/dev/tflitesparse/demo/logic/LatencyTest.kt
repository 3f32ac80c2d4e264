package dev.tflitesparse.demo.logic

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class LatencyTest {
    @Test
    fun medianAndNinetyPercent() {
        val millions = LongArray(10) { (10L - it) * 1_000_000 }
        assertEquals(Latency(10, 5.0, 9.0), Latency.of(millions))
        assertEquals(Latency(1, 2.0, 2.0), Latency.of(longArrayOf(2_000_000)))
    }

    @Test
    fun warmUpsAreRunAndNotMeasured() {
        var (clock, calls) = 0L to 0
        val found = Latency.measure(20, { clock }) {
            calls += 1
            clock += if (calls <= 5) 1_000_000_000 else 3_000_000
        }
        assertEquals(25, calls)
        assertEquals(Latency(20, 3.0, 3.0), found)
    }

    @Test
    fun noRunsAreRefused() {
        assertThrows(IllegalArgumentException::class.java) { Latency.measure(0) {} }
    }
}
