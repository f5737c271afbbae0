package sparkllm.catalyst

import java.util.{Timer, TimerTask, WeakHashMap}

import scala.collection.concurrent.TrieMap

import org.apache.spark.SparkContext
import org.apache.spark.scheduler._
import org.slf4j.LoggerFactory

/** Warns when the stage of a pool waits: Spark itself waits without a word for an executor that no worker can start. */
class PoolWatch extends SparkListener {
  private class Waiting(val pool: String, val tasks: Int) { var running = 0; var since: Long = System.nanoTime() }
  private val pools = TrieMap[Int, String]() // by profile
  private val stages = TrieMap[Int, Waiting]()

  private[catalyst] def add(pool: Pool): Unit = pools(pool.profile) = pool.name

  override def onStageSubmitted(event: SparkListenerStageSubmitted): Unit =
    pools.get(event.stageInfo.resourceProfileId).foreach { name =>
      stages(event.stageInfo.stageId) = new Waiting(name, event.stageInfo.numTasks)
    }

  override def onTaskStart(event: SparkListenerTaskStart): Unit = stages.get(event.stageId).foreach(_.running += 1)

  override def onTaskEnd(event: SparkListenerTaskEnd): Unit = stages.get(event.stageId).foreach { s =>
    s.running -= 1
    s.since = System.nanoTime()
  }

  override def onStageCompleted(event: SparkListenerStageCompleted): Unit = stages.remove(event.stageInfo.stageId): Unit

  /** Warns of each stage that has had no task for so long; again after as long. */
  private[catalyst] def check(seconds: Double): Unit = stages.values.foreach { s =>
    if (s.running <= 0 && System.nanoTime() - s.since > seconds * 1e9) {
      PoolWatch.log.warn(
        s"sparkllm: the tasks of pool ${s.pool} wait, none has run for ${seconds.round} s: no executor with its GPUs " +
          s"is there. Start workers that offer ${s.pool}, or cancel the query and plan without it")
      s.since = System.nanoTime()
    }
  }
}

object PoolWatch {
  private val log = LoggerFactory.getLogger("sparkllm")
  private val of = new WeakHashMap[SparkContext, PoolWatch]()

  /** From now on, stages of this pool are watched. */
  def apply(context: SparkContext, pool: Pool): Unit =
    of.synchronized(of.computeIfAbsent(context, c => start(c))).add(pool)

  private def start(context: SparkContext): PoolWatch = {
    val (watch, seconds) = (new PoolWatch, Setting.number("poolWaitSeconds", 60))
    context.addSparkListener(watch)
    val millis = math.max(1000L, (seconds * 250).toLong)
    val timer = new Timer("sparkllm-pools", true)
    timer.schedule(new TimerTask {
      override def run(): Unit = if (context.isStopped) timer.cancel() else watch.check(seconds)
    }, millis, millis)
    watch
  }
}
