package dev.tflitesparse.demo.ui

import android.app.Activity
import android.os.Bundle
import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.Spinner
import android.widget.TableLayout
import android.widget.TableRow
import android.widget.TextView
import dev.tflitesparse.demo.R
import dev.tflitesparse.demo.classifier.ClassifierException
import dev.tflitesparse.demo.classifier.SparseClassifier
import dev.tflitesparse.demo.logic.Comparison
import dev.tflitesparse.demo.logic.DemoState
import dev.tflitesparse.demo.logic.Golden
import dev.tflitesparse.demo.logic.Input
import dev.tflitesparse.demo.logic.InputImage
import dev.tflitesparse.demo.logic.Latency
import dev.tflitesparse.demo.logic.Measurement
import dev.tflitesparse.demo.logic.ModelChoice
import dev.tflitesparse.demo.logic.Outcome
import java.io.IOException
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors

/** The only screen: it classifies a drawing or image with the chosen file; a button compares the three files. */
class MainActivity : Activity(), Measurements.Listener {

    private val drawingView by lazy { findViewById(R.id.drawing) as DrawingView }
    private val scoresView by lazy { findViewById(R.id.scores) as ScoresView }
    private val headline by lazy { findViewById(R.id.headline) as TextView }
    private val fileSize by lazy { findViewById(R.id.file_size) as TextView }
    private val table by lazy { findViewById(R.id.comparison) as TableLayout }
    private val compare by lazy { findViewById(R.id.compare) as Button }

    /** Runs all models: a classifier must not be used by several threads. */
    private val worker: ExecutorService = Executors.newSingleThreadExecutor()
    private var classifier: SparseClassifier? = null // used on the worker only
    private var measurements: Measurements? = null
    private lateinit var golden: Golden
    private lateinit var labels: List<String>

    private var state = DemoState()
        set(value) {
            field = value
            headline.text = value.headline()
            scoresView.scores = (value.outcome as? Outcome.Classified)?.scores.orEmpty()
        }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_main)
        try {
            labels = text(LABELS).lines().filter(String::isNotEmpty)
            golden = Golden.parse(text(Golden.NAME))
        } catch (_: IOException) {
            headline.setText(R.string.no_assets)
            return
        }
        state = DemoState()
        drawingView.onDrawn = { classify(state.drew()) }
        (findViewById(R.id.clear) as View).setOnClickListener {
            drawingView.clear()
            state = state.cleared()
        }
        (findViewById(R.id.sample) as View).setOnClickListener { classify(state.nextSample(golden, labels)) }
        compare.setOnClickListener { compare() }
        choices(R.id.model, ModelChoice.entries.map(ModelChoice::title), state.model.ordinal) { position ->
            open(state.choose(ModelChoice.entries[position]))
        }
        choices(R.id.runs, RUNS.map { getString(R.string.runs, it) }, RUNS.indexOf(state.runs)) { position ->
            state = state.copy(runs = RUNS[position])
        }
    }

    override fun onDestroy() {
        measurements?.cancel()
        worker.execute { classifier?.close() }
        worker.shutdown()
        super.onDestroy()
    }

    override fun onMeasured(measured: Map<ModelChoice, Measurement>) {
        table.removeAllViews()
        for (cells in Comparison.table(measured)) {
            val row = TableRow(this)
            cells.forEach { cell -> row.addView(TextView(this).apply { text = cell }) }
            table.addView(row)
        }
    }

    override fun onFailed(message: String) {
        compare.isEnabled = true
        state = state.failed(message)
    }

    override fun onDone() {
        compare.isEnabled = true
    }

    /** Load the file of a state, then classify its input. */
    private fun open(chosen: DemoState) {
        state = chosen
        work {
            classifier?.close()
            classifier = null
            val file = AssetModelFile(assets, chosen.model.file)
            classifier = SparseClassifier.open(file, labels)
            val size = Comparison.kilobytes(file.bytes().limit().toLong())
            onMain {
                fileSize.text = size
                if (chosen.isReady) classify(state)
            }
        }
    }

    private fun classify(asked: DemoState) {
        state = asked.working()
        val drawn = drawingView.drawing.copy()
        work {
            val current = classifier ?: return@work
            val values = when (val input = asked.input) {
                Input.Empty -> return@work
                Input.Drawn -> InputImage(current.description).of(drawn)
                is Input.Sample -> golden.samples[input.index].input.also { show(current, it) }
            }
            val latency = Latency.measure(asked.runs) { current.classify(values) }
            val scores = current.classify(values).top(ScoresView.LINES)
            onMain { if (state == asked.working()) state = state.classified(scores, latency) }
        }
    }

    /** Show a bundled image instead of a drawing. */
    private fun show(current: SparseClassifier, values: FloatArray) {
        if (current.description.input.shape.size !in 2..3) return
        val image = InputImage(current.description)
        val grey = image.grey(values)
        onMain { drawingView.show(grey, image.width) }
    }

    private fun compare() {
        compare.isEnabled = false
        measurements?.cancel()
        measurements = Measurements(this, state.runs, this).also(Measurements::start)
    }

    private fun work(block: () -> Unit) = worker.execute {
        try {
            block()
        } catch (error: ClassifierException) {
            onMain { state = state.failed(error.message.orEmpty()) }
        }
    }

    private fun onMain(block: () -> Unit) = runOnUiThread { if (!isDestroyed) block() }

    private fun text(asset: String) = assets.open(asset).bufferedReader().use { it.readText() }

    private fun choices(id: Int, titles: List<String>, first: Int, onChosen: (Int) -> Unit) {
        val spinner = findViewById(id) as Spinner
        spinner.adapter = ArrayAdapter(this, android.R.layout.simple_spinner_dropdown_item, titles)
        spinner.setSelection(first)
        spinner.onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(parent: AdapterView<*>, view: View?, position: Int, id: Long) =
                onChosen(position)

            override fun onNothingSelected(parent: AdapterView<*>) = Unit
        }
    }

    private companion object {
        const val LABELS = "labels.txt"
        val RUNS = listOf(10, 100, 1000)
    }
}
