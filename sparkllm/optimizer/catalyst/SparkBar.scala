package sparkllm.catalyst

import scala.util.control.NonFatal

import org.apache.spark.SparkContext

/** Spark's own progress bar on the console (spark.ui.showConsoleProgress), which writes to the line that ours has.
  *
  * It keeps quiet for half a second after a job. Taken to be a second ahead, that moment keeps it away as long as it is
  * said again, and no longer. Both names are Spark's own affair: where they change, two bars share a line. */
object SparkBar {
  private val aheadMs = 1000L

  def hush(context: SparkContext): Unit = try {
    val found = classOf[SparkContext].getMethod("progressBar").invoke(context).asInstanceOf[Option[AnyRef]]
    found.foreach { bar =>
      val finished = bar.getClass.getDeclaredField("lastFinishTime")
      val shown = bar.getClass.getDeclaredField("lastProgressBar")
      finished.setAccessible(true)
      shown.setAccessible(true)
      bar.synchronized {
        finished.setLong(bar, System.currentTimeMillis() + aheadMs)
        shown.set(bar, "") // so that it does not wipe what it has drawn before
      }
    }
  } catch { case NonFatal(_) => }
}
