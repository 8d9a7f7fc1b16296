#!/bin/sh
# A worker in the shell:   custody-worker exec --agent shell-1 --kind report -- examples/report.sh
# The payload comes on standard input and in the file $CUSTODY_PAYLOAD, what is printed after `::` is a report, and the
# exit status is the outcome: 0 completes, 65 fails for good, 75 gives back, any other fails this attempt.
pages=$(sed 's/[^0-9]//g' "$CUSTODY_PAYLOAD")
page=${CUSTODY_CHECKPOINT:-0}
while [ "$page" -lt "$pages" ]; do
  page=$((page + 1))
  echo "page $page of $CUSTODY_TASK_ID, under token $CUSTODY_TOKEN"
  echo "::progress $((100 * page / pages)) page $page"
  echo "::checkpoint $page"
done
echo '::result "report.txt"'
