package sparkllm.catalyst

import java.util.{HashMap, LinkedHashMap, Map => JavaMap}

import scala.collection.mutable
import scala.jdk.CollectionConverters._

import org.apache.spark.SparkContext
import org.apache.spark.scheduler._
import org.apache.spark.sql.SparkSession

/** The stages that evaluate calls, while they run: sparkllm/progress_watch.py waits for them and draws them.
  *
  * A query is named as sparkllm/udf/task.py names it: by its SQL execution, outside one by its stage. */
class RunningCalls(context: SparkContext) extends SparkListener {
  import RunningCalls._

  private val queries = new Kept[String, Query](100)
  private var changes = 0L
  private var ended = false

  /** JSON of the queries with a stage that runs, once that has changed since `seen`, or after so long: {"changes",
    * "queries": [{"query", "runs", "progress", "tasks", "done", "rows", "of_rows", "seconds"}]}; one that runs no more
    * is told of once, "of_rows" is null where it is not known. Empty when the application has ended.
    *
    * @param hush Spark's own bar is to stay away for a second */
  def next(seen: Long, millis: Long, hush: Boolean): String = {
    if (hush) SparkBar.hush(context)
    synchronized {
      val until = System.nanoTime() + millis * 1000000
      var left = millis
      while (changes == seen && !ended && left > 0) {
        wait(left)
        left = (until - System.nanoTime()) / 1000000
      }
      if (ended) "" else json
    }
  }

  override def onStageSubmitted(event: SparkListenerStageSubmitted): Unit = {
    val info = event.stageInfo
    val calls = info.rddInfos.map(_.id).flatMap(id => expected(id).map(id -> _))
    if (calls.nonEmpty) changed {
      def property(key: String) = Option(event.properties).flatMap(p => Option(p.getProperty(key)))
      val name = property("spark.sql.execution.id").getOrElse(s"stage-${info.stageId}")
      val query = queries.computeIfAbsent(name, _ => new Query)
      query.progress = property(s"${Setting.prefix}progress").getOrElse("auto")
      query.calls ++= calls
      query.stages.getOrElseUpdate(info.stageId, new Stage(info.numTasks)).runs = true
    }
  }

  override def onStageCompleted(event: SparkListenerStageCompleted): Unit =
    stage(event.stageInfo.stageId).foreach(s => changed { s.runs = false })

  override def onTaskEnd(event: SparkListenerTaskEnd): Unit = stage(event.stageId).foreach { s =>
    synchronized {
      s.running.remove(event.taskInfo.taskId)
      if (event.taskInfo.successful && s.done.add(event.taskInfo.partitionId)) {
        s.rows += rowsIn(event.taskInfo.accumulables)
      }
    }
  }

  /** Every ten seconds, as Spark is set up (spark.executor.heartbeatInterval). */
  override def onExecutorMetricsUpdate(event: SparkListenerExecutorMetricsUpdate): Unit =
    event.accumUpdates.foreach { case (task, id, _, updates) =>
      stage(id).filter(_.runs).foreach(s => synchronized(s.running(task) = rowsIn(updates)))
    }

  override def onApplicationEnd(event: SparkListenerApplicationEnd): Unit = {
    changed { ended = true }
    listening.synchronized { listening.remove(context): Unit }
  }

  private def stage(id: Int): Option[Stage] =
    synchronized(queries.values.asScala.flatMap(_.stages.get(id)).headOption)

  private def changed(change: => Unit): Unit = synchronized {
    change
    changes += 1
    notifyAll()
  }

  private def json: String = {
    val out = LLMSpec.mapper.createObjectNode()
    val list = out.put("changes", changes).putArray("queries")
    queries.asScala.filter { case (_, query) => query.runs || !query.told }.foreach { case (name, query) =>
      val stages = query.stages.values
      query.told = !query.runs
      val one = list.addObject().put("query", name).put("runs", query.runs).put("progress", query.progress)
      one.put("tasks", stages.map(_.tasks).sum).put("done", stages.map(_.done.size).sum)
      one.put("rows", stages.map(s => s.rows + s.running.values.sum).sum)
      one.put("seconds", (System.nanoTime() - query.began) / 1e9)
      if (query.calls.values.forall(_ >= 0)) one.put("of_rows", query.calls.values.sum) else one.putNull("of_rows")
    }
    out.toString
  }
}

object RunningCalls {
  private class Kept[K, V](most: Int) extends LinkedHashMap[K, V] {
    override def removeEldestEntry(eldest: JavaMap.Entry[K, V]): Boolean = size > most
  }

  private class Query {
    val began: Long = System.nanoTime()
    var progress = "auto"
    val calls = mutable.Map[Int, Long]() // rows of each, by the id of its RDD; -1: not known
    val stages = mutable.Map[Int, Stage]()
    var told = false // that it runs no more
    def runs: Boolean = stages.values.exists(_.runs)
  }

  private class Stage(val tasks: Int) {
    var runs = true
    val done = mutable.Set[Int]() // partitions
    var rows = 0L // of those
    val running = mutable.Map[Long, Long]() // rows of tasks under way
  }

  private val listening = new HashMap[SparkContext, RunningCalls]()
  private val rowsOf = new Kept[Int, Long](10000)
  private val rowsName = LLMEvalExec.counters.collectFirst { case ("rows", _, name) => name }

  /** Those of an application, which are listened to from the first time on. */
  def of(session: SparkSession): RunningCalls = listening.synchronized {
    listening.computeIfAbsent(session.sparkContext, { context =>
      val calls = new RunningCalls(context)
      context.addSparkListener(calls)
      calls
    })
  }

  /** Called on the driver when the RDD of a call is made. */
  private[catalyst] def expect(rdd: Int, rows: Option[Long]): Unit =
    rowsOf.synchronized { rowsOf.put(rdd, rows.getOrElse(-1L)): Unit }

  private def expected(rdd: Int): Option[Long] = rowsOf.synchronized(Option(rowsOf.get(rdd)))

  private def rowsIn(updates: Iterable[AccumulableInfo]): Long = updates.filter(_.name == rowsName).flatMap(_.update)
    .collect { case n: Number => n.longValue }.sum
}
