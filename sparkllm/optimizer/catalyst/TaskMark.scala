package sparkllm.catalyst

import java.nio.file.{Files, Path, Paths}
import java.nio.file.StandardOpenOption.{CREATE, WRITE}

import scala.util.Try

import org.apache.spark.{SparkFiles, TaskContext}

/** A file that is there as long as its task runs; sparkllm/udf/reader.py looks for it.
  *
  * When a LIMIT is met, or a task fails, Spark closes the socket of the Python worker. A worker that waits for its
  * engine does not see that. */
object TaskMark {
  def path(context: TaskContext): Path =
    Paths.get(SparkFiles.getRootDirectory()).toAbsolutePath.resolve(s"sparkllm-task-${context.taskAttemptId()}")

  def put(context: TaskContext): Unit = {
    val file = path(context)
    Files.newByteChannel(file, CREATE, WRITE).close()
    // what cannot be deleted goes with Spark's own folder
    context.addTaskCompletionListener[Unit](_ => Try(Files.deleteIfExists(file)))
  }
}
