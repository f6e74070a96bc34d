# Reads lines "importing package, imported package" and prints each import that goes against the house's direction:
#
#     lambdas, cmd -> function -> scaler -> policy
#
# and lab, which proves all of it, imports what it likes: nothing that ships imports lab. The adapters (celery, fleet) know the policy's
# types and nothing else of us but their own parts; the local cloud knows nothing of the production code; policy imports the standard
# library only. So does awsname, which all but policy may import. Exits with 1 if there is one.
function bad(why) { printf "%s imports %s: %s\n", $1, $2, why; failed = 1 }

{ ours = $2 ~ /^sluice\// && $2 != "sluice/internal/awsname" }

$2 ~ /^sluice\/(infra\/)?lab(\/|$)/ && $1 !~ /^sluice\/(infra\/)?lab(\/|$)/ { bad("what ships must not know what proves it") }
$1 == "sluice/internal/policy" && $2 ~ /\./ { bad("policy imports the standard library only") }
$1 == "sluice/internal/awsname" && $2 ~ /[.\/]/ { bad("awsname imports the standard library only") }
$1 == "sluice/internal/policy" && $2 ~ /^sluice\// { bad("policy knows nothing of us") }
$1 == "sluice/internal/scaler" && ours && $2 != "sluice/internal/policy" { bad("scaler knows the policy only") }
$1 == "sluice/internal/scaler" && $2 ~ /aws|redis/ { bad("scaler knows neither AWS nor Redis") }
$1 ~ /^sluice\/internal\/(celery|fleet)$/ && ours && $2 != "sluice/internal/policy" && index($2, $1 "/") != 1 { bad("an adapter knows the policy only") }
$1 ~ /^sluice\/internal\/config/ && ours && $2 !~ /^sluice\/internal\/config/ { bad("config knows nothing of us") }
$1 ~ /^sluice\/lab\/cloud/ && $2 ~ /^sluice\/internal\/(policy|scaler|celery|fleet|function)/ { bad("the local cloud must not know what it stands in for") }
$1 ~ /^sluice\/internal/ && $2 ~ /^sluice\/(cmd|lambdas)/ { bad("a library must not know its programs") }
$1 ~ /^sluice\/infra($|\/(sluicecdk|example|stacks)$)/ && ours && $2 !~ /^sluice\/(infra|internal\/(config|price)$|stepfunctions$)/ { bad("what deploys knows the configuration, the prices and the state machine only") }
$1 == "sluice/trigger" && ours { bad("the producers' package stands alone") }

END { exit failed }
