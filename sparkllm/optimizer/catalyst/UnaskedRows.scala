package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.InnerLike
import org.apache.spark.sql.catalyst.plans.logical._

/** The rows of a call with the calls below it left out, whose answers its fields do not read.
  *
  * `LLMEval b(y) <- Filter (a = 'x' AND n > 3) <- LLMEval a(z) <- t` -> `Filter (n > 3) <- t`, of whose rows a third is
  * expected to be asked about. In place of answers stand NULLs, which nothing that is left reads.
  *
  * @param unknown columns that only a model can give
  * @param kept share of the rows that the filters over answers keep, as Selectivity expects it: 0..1 */
case class UnaskedRows(rows: LogicalPlan, unknown: AttributeSet, kept: Double)

object UnaskedRows extends PredicateHelper {
  /** None where the rows, or the texts of the fields, depend on answers in another way. */
  def apply(e: LLMEval): Option[UnaskedRows] = {
    val rows = SourceRows(e)
    val calls = rows.collect { case below: LLMEval => below.result.exprId -> below.call }.toMap
    without(rows, calls).filterNot(found => reads(LLMStrategy.texts(e.call, e.guard), found.unknown))
  }

  private def without(plan: LogicalPlan, calls: Map[ExprId, LLMCall]): Option[UnaskedRows] = plan match {
    case all if !PlannedCalls.asks(all) => Some(UnaskedRows(all, AttributeSet.empty, 1))
    case l: LLMEval => without(SourceRows(l), calls).map { below =>
        val missing = l.output.filterNot(below.rows.outputSet.contains)
        val nothing = missing.map(a => Alias(Literal(null, a.dataType), a.name)(a.exprId))
        below.copy(Project(below.rows.output ++ nothing, below.rows), below.unknown ++ AttributeSet(missing))
      }
    case Project(list, child) => without(child, calls).map { below =>
        val unknown = list.filter(c => reads(Seq(c), below.unknown)).map(_.toAttribute)
        below.copy(Project(list, below.rows), AttributeSet(unknown))
      }
    case Filter(condition, child) => without(child, calls).map { below =>
        val (over, plain) = splitConjunctivePredicates(condition).partition(c => reads(Seq(c), below.unknown))
        val columns = child.collect { case p: Project => p.projectList }.flatten
        val share = if (over.isEmpty) 1.0 else Selectivity(calls, Seen().toSeq)(over.map(InlineColumns(_, columns)))
        below.copy(plain.reduceOption(And).fold(below.rows)(Filter(_, below.rows)), kept = below.kept * share)
      }
    case Join(left, right, kind, condition, hint) =>
      for {
        l <- without(left, calls)
        r <- without(right, calls)
        if !reads(condition.toSeq, l.unknown ++ r.unknown)
        // an outer or anti join has more rows where a filter on one side keeps fewer
        if kind.isInstanceOf[InnerLike] || l.kept * r.kept == 1
      } yield UnaskedRows(Join(l.rows, r.rows, kind, condition, hint), l.unknown ++ r.unknown, l.kept * r.kept)
    case same @ (_: Sort | _: RepartitionOperation) => without(same.children.head, calls)
        .filterNot(below => reads(same.expressions, below.unknown))
        .map(below => below.copy(same.withNewChildren(Seq(below.rows))))
    case _ => None
  }

  private def reads(expressions: Seq[Expression], unknown: AttributeSet): Boolean =
    expressions.exists(e => e.references.exists(unknown.contains) || e.exists {
      case s: SubqueryExpression => PlannedCalls.asks(s.plan)
      case _ => false
    })
}
