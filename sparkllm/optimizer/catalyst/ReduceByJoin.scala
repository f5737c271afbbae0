package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.optimizer.ColumnPruning
import org.apache.spark.sql.catalyst.plans._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule

/** A call below a join that may multiply its rows runs only for rows that the join keeps.
  *
  * `Join id = uid <- LLMEval r <- t, u` -> `Join id = uid <- LLMEval r <- Join LEFT SEMI id = uid <- t, u; u`: the semi
  * join of distributed databases (Bernstein and Chiu, Using Semi-Joins to Solve Relational Queries, 1981), where a row
  * that is not sent costs a run of a model. What PullAboveJoin can move is above its join by now.
  *
  * The other side is read twice, so it must have no call, nothing dear (CoLocate.twice) and at most ten times the bytes
  * of the call's rows, or little enough to broadcast; where Spark's statistics say that all rows stay, nothing
  * changes. */
object ReduceByJoin extends Rule[LogicalPlan] with PredicateHelper {
  private val mostTimesLarger = 10

  override def apply(plan: LogicalPlan): LogicalPlan =
    if (!plan.exists(_.isInstanceOf[LLMEval]) || !Setting.on("reduceByJoin")) plan else plan.transformUp {
      case j: Join => right(left(j))
    }

  private def left(j: Join): Join = j.joinType match {
    case _: InnerLike | RightOuter => reduced(j, j.left, j.right).map(l => j.copy(left = l)).getOrElse(j)
    case _ => j
  }

  private def right(j: Join): Join = j.joinType match {
    case _: InnerLike | LeftOuter | LeftSemi | LeftAnti =>
      reduced(j, j.right, j.left).map(r => j.copy(right = r)).getOrElse(j)
    case _ => j
  }

  private def reduced(j: Join, side: LogicalPlan, other: LogicalPlan): Option[LogicalPlan] = for {
    call <- Lift.of(side, None) if !other.exists(_.isInstanceOf[LLMEval]) && !CoLocate.twice(other)
    keys <- keys(j, call.below, other)
    semi = Join(call.below, columns(other, keys), LeftSemi, Some(keys), JoinHint.NONE)
    if !done(call.below, keys) && affordable(call.below, other) && fewer(semi, call.below)
  } yield ColumnPruning(Cascade(semi, call.steps, side.output).plan) // it runs no more after this

  /** What the join demands of the rows before any answer is known, if that is more than a cross product. */
  private def keys(j: Join, below: LogicalPlan, other: LogicalPlan): Option[Expression] = {
    val known = below.outputSet ++ other.outputSet
    def across(e: Expression) = e.references.intersect(below.outputSet).nonEmpty &&
      e.references.intersect(other.outputSet).nonEmpty
    val conditions = j.condition.toSeq.flatMap(splitConjunctivePredicates).filter { c =>
      c.deterministic && c.references.subsetOf(known) && across(c)
    }
    val hashed = conditions.exists { case Equality(a, b) => !across(a) && !across(b); case _ => false }
    if (hashed && below.outputSet.intersect(other.outputSet).isEmpty) conditions.reduceOption(And(_, _)) else None
  }

  private def columns(other: LogicalPlan, keys: Expression): LogicalPlan =
    Project(other.output.filter(keys.references.contains), other)

  /** The rows have been through this semi join, wherever other rules have moved it since, whatever they made of it. */
  private def done(below: LogicalPlan, keys: Expression): Boolean = below.exists {
    case Join(_, _, LeftSemi, Some(met), _) => met.references == keys.references
    case _ => false
  }

  private def affordable(below: LogicalPlan, other: LogicalPlan): Boolean = {
    val bytes = other.stats.sizeInBytes
    bytes <= conf.autoBroadcastJoinThreshold || bytes <= below.stats.sizeInBytes * mostTimesLarger
  }

  /** As far as is known, not every row meets one. */
  private def fewer(semi: Join, below: LogicalPlan): Boolean =
    !rows(semi).exists(out => rows(below).exists(out >= _))

  private def rows(plan: LogicalPlan): Option[BigInt] = KnownStatistics(plan).flatMap(_.rowCount)
}
