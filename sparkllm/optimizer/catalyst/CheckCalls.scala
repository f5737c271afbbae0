package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.{Cross, Inner, LeftExistence}
import org.apache.spark.sql.catalyst.plans.logical._

/** Says clearly where a call cannot stand, before Spark fails with an internal error. */
object CheckCalls extends (LogicalPlan => Unit) {
  override def apply(plan: LogicalPlan): Unit = Calls.operators(plan).foreach { p =>
    def calls = p.expressions.flatMap(_.collect { case c: LLMCall => c })
    if (p.isStreaming) throw new CallError(
      s"${calls.head.sql} is in a streaming query, which sparkllm does not evaluate; use foreachBatch and call it " +
        "there")
    calls.find(Calls.inLambda).foreach(c => throw new CallError(
      s"${c.sql} is inside a lambda function, where no call can be evaluated; explode the array and call it on each " +
        "row"))
    p match {
      case j: Join if j.joinType != Inner && j.joinType != Cross => j.condition.foreach { condition =>
        twoSided(condition, j).headOption.foreach(c => throw outerJoin(c, j))
      }
      case _ =>
    }
  }

  /** The calls of `e` that need columns of both sides of the join. */
  def twoSided(e: Expression, j: Join): Seq[LLMCall] = e.collect {
    case c: LLMCall if !c.references.subsetOf(j.left.outputSet) && !c.references.subsetOf(j.right.outputSet) => c
  }

  /** Whatever ExtractCalls could not move would end in an internal error of the planner. */
  def nothingLeft(plan: LogicalPlan): Unit = Calls.operators(plan).foreach { p =>
    p.expressions.flatMap(_.collect { case c: LLMCall if Calls.extractable(c) => c }).headOption.foreach { c =>
      throw (p match {
        case j: Join => outerJoin(c, j)
        case _ => new CallError(
          s"${c.sql} cannot be evaluated in ${p.nodeName}; compute it in a SELECT below and use its column here")
      })
    }
  }

  private def outerJoin(c: LLMCall, j: Join): CallError = j.joinType match {
    case LeftExistence(_) => new CallError(
      s"${c.sql} reads columns of both a query and its EXISTS or IN subquery (or a SEMI or ANTI JOIN), which cannot " +
        "be evaluated: join the two tables, call it in the WHERE after the join, and take DISTINCT rows")
    case _ => new CallError(
      s"${c.sql} reads columns of both sides in the condition of a ${j.joinType.sql} JOIN; only an INNER JOIN (or a " +
        "WHERE after the join) can evaluate it: join on the other conditions first and call it on the joined rows")
  }
}
