package dev.tflitesparse.demo.ui

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.Path
import android.graphics.Rect
import android.util.AttributeSet
import android.view.MotionEvent
import android.view.View
import dev.tflitesparse.demo.logic.Drawing

/** A square that shows a finger's drawing or a picture. */
class DrawingView(context: Context, attributes: AttributeSet?) : View(context, attributes) {

    val drawing = Drawing()

    /** Called when a stroke ends. */
    var onDrawn: () -> Unit = {}

    private var picture: Bitmap? = null
    private val pen = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = Color.WHITE
        style = Paint.Style.STROKE
        strokeCap = Paint.Cap.ROUND
        strokeJoin = Paint.Join.ROUND
    }
    private val unfiltered = Paint()

    /** Show [grey], rows of [width] values from 0 to 1, until a finger draws. */
    fun show(grey: FloatArray, width: Int) {
        drawing.clear()
        val colors = IntArray(grey.size) { (grey[it] * 255).toInt().let { level -> Color.rgb(level, level, level) } }
        picture = Bitmap.createBitmap(colors, width, grey.size / width, Bitmap.Config.ARGB_8888)
        invalidate()
    }

    fun clear() {
        drawing.clear()
        picture = null
        invalidate()
    }

    override fun onMeasure(widthMeasureSpec: Int, heightMeasureSpec: Int) {
        super.onMeasure(widthMeasureSpec, heightMeasureSpec)
        val side = minOf(measuredWidth, resources.displayMetrics.heightPixels / 2)
        setMeasuredDimension(side, side)
        pen.strokeWidth = side * PEN_SHARE
    }

    override fun onDraw(canvas: Canvas) {
        canvas.drawColor(Color.BLACK)
        picture?.let { canvas.drawBitmap(it, null, Rect(0, 0, width, height), unfiltered) }
        drawing.forEachStroke { points ->
            val path = Path().apply { moveTo(points[0], points[1]) }
            for (index in points.indices step 2) path.lineTo(points[index], points[index + 1])
            canvas.drawPath(path, pen)
        }
    }

    override fun onTouchEvent(event: MotionEvent): Boolean {
        when (event.actionMasked) {
            MotionEvent.ACTION_DOWN -> {
                picture = null
                parent.requestDisallowInterceptTouchEvent(true) // do not scroll the page
                drawing.start(event.x, event.y)
            }
            MotionEvent.ACTION_MOVE -> {
                for (index in 0 until event.historySize) {
                    drawing.moveTo(event.getHistoricalX(index), event.getHistoricalY(index))
                }
                drawing.moveTo(event.x, event.y)
            }
            MotionEvent.ACTION_UP -> {
                onDrawn()
                performClick()
            }
            else -> return super.onTouchEvent(event)
        }
        invalidate()
        return true
    }

    override fun performClick(): Boolean = super.performClick() // for accessibility services

    private companion object {
        const val PEN_SHARE = 0.08f
    }
}
