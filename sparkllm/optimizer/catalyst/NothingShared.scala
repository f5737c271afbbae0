package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions.Attribute
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan

/** Spark's statistics say that no two rows of a call have a field in common: no two prompts are equal, none begins with
  * another's data, and a pass over the rows to place them would find nothing.
  *
  * `llm('What is it about?', body) FROM articles` after ANALYZE TABLE ... FOR COLUMNS, with spark.sql.cbo.enabled:
  * 2,000 rows and 2,000 values of `body` -> true. Those counts are estimates: one value less than rows, and the rows
  * are read. */
object NothingShared {
  def apply(call: LLMCall, child: LogicalPlan): Boolean = KnownStatistics(child).exists { statistics =>
    statistics.rowCount.exists { rows =>
      call.fields.forall {
        case field: Attribute => statistics.attributeStats.get(field).flatMap(_.distinctCount).exists(_ >= rows)
        case _ => false
      }
    }
  }
}
