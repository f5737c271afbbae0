package sparkllm.catalyst

import java.util.concurrent.ConcurrentHashMap

import org.apache.spark.{Partition, TaskContext}
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.{Attribute, SortOrder}
import org.apache.spark.sql.catalyst.plans.physical.Partitioning
import org.apache.spark.sql.execution.{SparkPlan, UnaryExecNode}
import org.apache.spark.sql.internal.{ReadOnlySQLConf, SQLConf}

/** The input of one call in one partition, in rounds of `first` rows, twice as many, ... */
private class Rounds(rows: Iterator[InternalRow], first: Int) {
  private var inRound = first.toLong

  def more: Boolean = rows.hasNext

  def next(): Iterator[InternalRow] = {
    val round = new Iterator[InternalRow] {
      private var left = inRound
      override def hasNext: Boolean = left > 0 && rows.hasNext
      override def next(): InternalRow = {
        left -= 1
        rows.next()
      }
    }
    inRound *= 2
    round
  }
}

private object Rounds {
  /** Those of the tasks that run, by attempt, call and partition. */
  private val running = new ConcurrentHashMap[(Long, Long, Int), Rounds]()

  def of(context: TaskContext, node: Long, split: Partition)(create: => Rounds): Rounds = {
    val key = (context.taskAttemptId(), node, split.index)
    Option(running.get(key)).getOrElse {
      context.addTaskCompletionListener[Unit](_ => running.remove(key))
      val rounds = create
      running.put(key, rounds)
      rounds
    }
  }
}

/** Gives its rows to the Python function above in rounds, one each time the function is started.
  *
  * Spark gives a Python function all the input that the socket holds before it looks at the first answer, and asks a
  * call below for as much. Under a limit, a function that has only one round gets no more of it. */
case class RoundsExec(node: Long, first: Int, child: SparkPlan) extends UnaryExecNode {
  override def output: Seq[Attribute] = child.output
  override def outputPartitioning: Partitioning = child.outputPartitioning
  override def outputOrdering: Seq[SortOrder] = child.outputOrdering
  override protected def doExecute(): RDD[InternalRow] = new RoundsRDD(child.execute(), node, first)
  override protected def doCanonicalize(): SparkPlan = copy(node = 0, child = child.canonicalized)
  override protected def withNewChildInternal(newChild: SparkPlan): RoundsExec = copy(child = newChild)
}

private class RoundsRDD(rows: RDD[InternalRow], node: Long, first: Int) extends RDD[InternalRow](rows) {
  override protected def getPartitions: Array[Partition] = firstParent[InternalRow].partitions

  override def compute(split: Partition, context: TaskContext): Iterator[InternalRow] =
    Rounds.of(context, node, split)(new Rounds(firstParent[InternalRow].iterator(split, context), first)).next()
}

/** The rows of `python`, started as often as it takes: once, or with `inRounds` once for each round of a RoundsRDD
  * below.
  *
  * @param follows a call below asks about the same rows, and what it leaves in the KV cache is read soon after */
private class AnswersRDD(python: RDD[InternalRow], node: Long, inRounds: Boolean, follows: Boolean)
    extends RDD[InternalRow](python) {
  override protected def getPartitions: Array[Partition] = firstParent[InternalRow].partitions

  override def compute(split: Partition, context: TaskContext): Iterator[InternalRow] = {
    TaskMark.put(context)
    def start(): Iterator[InternalRow] =
      SQLConf.withExistingConf(new PromptConf(context, follows))(firstParent[InternalRow].iterator(split, context))
    def rounds = Rounds.of(context, node, split)(throw new IllegalStateException("no round"))
    // the first start makes the rounds
    if (inRounds) { val first = start(); again(first, () => start(), rounds) } else start()
  }

  private def again(first: Iterator[InternalRow], start: () => Iterator[InternalRow], rounds: Rounds) =
    new Iterator[InternalRow] {
      private var round = first
      override def hasNext: Boolean = {
        while (!round.hasNext && rounds.more) round = start()
        round.hasNext
      }
      override def next(): InternalRow = round.next()
    }
}

/** A Python worker that starts under it holds back a few bytes of its answers; Spark's 64 KiB are several windows.
  *
  * One that follows another gets its rows soon: Spark would wait for 10,000 of them, and by then the first ones' data
  * may have left the KV cache. */
private class PromptConf(context: TaskContext, follows: Boolean) extends ReadOnlySQLConf(context) {
  override def pandasUDFBufferSize: Int = 64
  override def arrowMaxRecordsPerBatch: Int = {
    val set = super.arrowMaxRecordsPerBatch
    if (!follows) set else if (set > 0) math.min(set, PromptConf.fewRows) else PromptConf.fewRows
  }
}

private object PromptConf {
  /** An Arrow batch of these costs a millisecond, an answer about as much. */
  private val fewRows = 64
}
