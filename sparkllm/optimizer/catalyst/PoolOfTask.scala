package sparkllm.catalyst

import java.util.concurrent.ConcurrentHashMap

import org.apache.spark.{Partition, TaskContext}
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.catalyst.InternalRow

/** The pool whose executor runs a task: a task knows its GPUs' addresses, not its profile. */
object PoolOfTask {
  private val running = new ConcurrentHashMap[Long, String]()

  def put(context: TaskContext, pool: String): Unit = {
    running.put(context.taskAttemptId(), pool)
    context.addTaskCompletionListener[Unit](_ => running.remove(context.taskAttemptId()))
  }

  def apply(): Option[String] = Option(TaskContext.get()).flatMap(c => Option(running.get(c.taskAttemptId())))
}

/** Its rows are read in this pool. */
private class PoolRDD(rows: RDD[InternalRow], pool: String) extends RDD[InternalRow](rows) {
  override protected def getPartitions: Array[Partition] = firstParent[InternalRow].partitions

  override def compute(split: Partition, context: TaskContext): Iterator[InternalRow] = {
    PoolOfTask.put(context, pool)
    firstParent[InternalRow].iterator(split, context)
  }
}
