package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._

/** `input_file_name()` tells the file of the row that Spark has read last. Above a call, which reads rows ahead, that
  * is another row's, and above a shuffle there is none: it is computed below the calls.
  *
  * `Project [input_file_name(), r] <- LLMEval r <- t` -> `Project [f, r] <- LLMEval r <- Project [*,
  * input_file_name() AS f] <- t`. */
object FileOfRow extends (LogicalPlan => LogicalPlan) {
  override def apply(plan: LogicalPlan): LogicalPlan = plan.transformUp {
    case p @ (_: Project | _: Filter) if p.expressions.exists(_.exists(tells)) =>
      val told = p.expressions.flatMap(_.collect { case e if tells(e) => e }).distinct
      val columns = told.map(e => e -> Alias(e, "file")())
      sink(p.children.head, columns.map(_._2)).map { child =>
        val read = columns.toMap[Expression, Alias]
        val above = p.transformExpressions { case e if tells(e) => read(e).toAttribute }.withNewChildren(Seq(child))
        if (above.output == p.output) above else Project(p.output, above)
      }.getOrElse(p)
  }

  private def sink(plan: LogicalPlan, columns: Seq[Alias]): Option[LogicalPlan] = plan match {
    case e: LLMEval =>
      Some(e.copy(child = sink(e.child, columns).getOrElse(Project(e.child.output ++ columns, e.child))))
    case f: Filter => sink(f.child, columns).map(c => f.copy(child = c))
    case p: Project => sink(p.child, columns).map { c =>
      p.copy(projectList = p.projectList ++ columns.map(_.toAttribute), child = c)
    }
    case _ => None
  }

  private def tells(e: Expression): Boolean = e match {
    case _: InputFileName | _: InputFileBlockStart | _: InputFileBlockLength => true
    case _ => false
  }
}
