package dev.tflitesparse.demo.ui

import android.app.Service
import android.content.Intent
import android.os.Bundle
import android.os.Handler
import android.os.HandlerThread
import android.os.IBinder
import android.os.Looper
import android.os.Message
import android.os.Messenger
import android.os.Process
import dev.tflitesparse.demo.classifier.ClassifierException
import dev.tflitesparse.demo.logic.Golden
import dev.tflitesparse.demo.logic.Measurement
import dev.tflitesparse.demo.logic.ProcessMemory
import java.io.File

/**
 * Measures one file in a separate process (see the manifest), which then ends.
 *
 * So each file is measured in a fresh process, and the peak of memory is its own.
 */
class MeasureService : Service() {
    private val thread = HandlerThread("measure")

    override fun onBind(intent: Intent): IBinder {
        thread.start()
        return Messenger(Measurer(thread.looper)).binder
    }

    override fun onDestroy() = Process.killProcess(Process.myPid())

    private inner class Measurer(looper: Looper) : Handler(looper) {
        override fun handleMessage(request: Message) {
            val answer = Bundle()
            try {
                answer.putString(MEASUREMENT, measure(request.data).toJson())
            } catch (error: ClassifierException) {
                answer.putString(FAILURE, error.message)
            }
            request.replyTo.send(Message.obtain().apply { data = answer })
        }

        private fun measure(request: Bundle): Measurement {
            val golden = Golden.parse(assets.open(Golden.NAME).bufferedReader().use { it.readText() })
            val file = AssetModelFile(assets, requireNotNull(request.getString(FILE)))
            return Measurement.of(file, golden, request.getInt(RUNS)) {
                ProcessMemory.parse(File(ProcessMemory.STATUS).readText())
            }
        }
    }

    companion object {
        const val FILE = "file"
        const val RUNS = "runs"
        const val MEASUREMENT = "measurement"
        const val FAILURE = "failure"
    }
}
