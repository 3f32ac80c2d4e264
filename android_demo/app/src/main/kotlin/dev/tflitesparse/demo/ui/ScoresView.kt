package dev.tflitesparse.demo.ui

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.util.AttributeSet
import android.view.View
import dev.tflitesparse.demo.R
import dev.tflitesparse.demo.classifier.Score
import java.util.Locale

/** The best classes as bars with their scores. */
class ScoresView(context: Context, attributes: AttributeSet?) : View(context, attributes) {

    private val line = resources.getDimension(R.dimen.score_line)
    private val bar = Paint().apply { color = BAR }
    private val text = Paint(Paint.ANTI_ALIAS_FLAG).apply { textSize = resources.getDimension(R.dimen.score_text) }

    /** At most [LINES] scores, best first. */
    var scores: List<Score> = emptyList()
        set(value) {
            field = value
            contentDescription = value.joinToString { "${it.label} ${percent(it)}" }
            invalidate()
        }

    override fun onMeasure(widthMeasureSpec: Int, heightMeasureSpec: Int) {
        val height = resolveSize((LINES * line).toInt(), heightMeasureSpec)
        setMeasuredDimension(getDefaultSize(suggestedMinimumWidth, widthMeasureSpec), height)
    }

    override fun onDraw(canvas: Canvas) {
        val start = width * LABEL_SHARE
        scores.forEachIndexed { index, score ->
            val top = index * line
            val length = score.value.coerceIn(0f, 1f) * (width - 2 * start)
            canvas.drawText(score.label, 0f, top + text.textSize, text)
            canvas.drawRect(start, top, start + length, top + text.textSize, bar)
            canvas.drawText(percent(score), width - start, top + text.textSize, text)
        }
    }

    private fun percent(score: Score) = String.format(Locale.ROOT, "%.1f %%", score.value * 100)

    companion object {
        const val LINES = 5
        private const val LABEL_SHARE = 0.2f
        private const val BAR = 0xFF1B6EF3.toInt()
    }
}
