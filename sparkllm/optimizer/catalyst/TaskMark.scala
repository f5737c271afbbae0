package sparkllm.catalyst

import java.nio.file.{Files, Path, Paths}
import java.nio.file.StandardOpenOption.{CREATE, WRITE}
import java.util.concurrent.{Executors, TimeUnit}

import scala.util.Try

import org.apache.spark.{SparkFiles, TaskContext}

/** A file that is there as long as its task runs; sparkllm/udf/reader.py looks for it.
  *
  * When a LIMIT is met, or a task fails, Spark closes the socket of the Python worker. A worker that waits for its
  * engine does not see that. Of a cancelled task Spark ends the worker after two to four seconds (PythonRunner's
  * MonitorThread): until then the engine would answer for nobody. */
object TaskMark {
  private val everyMs = 100L
  private lazy val watcher = Executors.newSingleThreadScheduledExecutor { (work: Runnable) =>
    val thread = new Thread(work, "sparkllm-task-marks")
    thread.setDaemon(true)
    thread
  }

  def path(context: TaskContext): Path =
    Paths.get(SparkFiles.getRootDirectory()).toAbsolutePath.resolve(s"sparkllm-task-${context.taskAttemptId()}")

  def put(context: TaskContext): Unit = {
    val file = path(context)
    Files.newByteChannel(file, CREATE, WRITE).close()
    val watch = watcher.scheduleWithFixedDelay(
      () => if (context.isInterrupted()) remove(file), everyMs, everyMs, TimeUnit.MILLISECONDS)
    context.addTaskCompletionListener[Unit] { _ =>
      watch.cancel(false)
      remove(file)
    }
  }

  // what cannot be deleted goes with Spark's own folder
  private def remove(file: Path): Unit = Try(Files.deleteIfExists(file))
}
