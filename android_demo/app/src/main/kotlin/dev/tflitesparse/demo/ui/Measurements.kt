package dev.tflitesparse.demo.ui

import android.content.ComponentName
import android.content.Context
import android.content.Intent
import android.content.ServiceConnection
import android.os.Bundle
import android.os.Handler
import android.os.IBinder
import android.os.Looper
import android.os.Message
import android.os.Messenger
import dev.tflitesparse.demo.logic.Measurement
import dev.tflitesparse.demo.logic.ModelChoice

/** Measures every file by [MeasureService], one after the other. Use it on the main thread. */
class Measurements(private val context: Context, private val runs: Int, private val listener: Listener) {

    /** Called on the main thread. */
    interface Listener {
        /** Receives all measurements so far. */
        fun onMeasured(measured: Map<ModelChoice, Measurement>)

        /** Receives the error of a file; no further calls follow. */
        fun onFailed(message: String)

        /** Called after the last file. */
        fun onDone()
    }

    private val measured = linkedMapOf<ModelChoice, Measurement>()
    private var current: Request? = null

    /** Start with the first file. */
    fun start() = next()

    /** Cancel the running measurement. */
    fun cancel() {
        current?.close()
        current = null
    }

    private fun next() {
        val choice = ModelChoice.entries.getOrNull(measured.size) ?: return listener.onDone()
        current = Request(choice).also {
            context.bindService(Intent(context, MeasureService::class.java), it, Context.BIND_AUTO_CREATE)
        }
    }

    private inner class Request(private val choice: ModelChoice) : ServiceConnection {
        private var attempts = 0
        private val answers = Messenger(
            object : Handler(Looper.getMainLooper()) {
                override fun handleMessage(answer: Message) = answered(answer.data)
            },
        )

        /** Also called when Android restarts the process, which ended after the previous file. */
        override fun onServiceConnected(name: ComponentName, service: IBinder) {
            attempts += 1
            if (attempts > MOST_ATTEMPTS) return failed("${choice.file}: the process that measures it keeps ending.")
            val request = Message.obtain()
            request.replyTo = answers
            request.data = Bundle().apply {
                putString(MeasureService.FILE, choice.file)
                putInt(MeasureService.RUNS, runs)
            }
            Messenger(service).send(request)
        }

        override fun onServiceDisconnected(name: ComponentName) = Unit // Android starts it again

        fun close() = context.unbindService(this)

        private fun answered(answer: Bundle) {
            if (current !== this) return
            val failure = answer.getString(MeasureService.FAILURE)
            if (failure != null) return failed(failure)
            cancel()
            measured[choice] = Measurement.fromJson(requireNotNull(answer.getString(MeasureService.MEASUREMENT)))
            listener.onMeasured(measured)
            next()
        }

        private fun failed(message: String) {
            cancel()
            listener.onFailed(message)
        }
    }

    private companion object {
        const val MOST_ATTEMPTS = 3
    }
}
