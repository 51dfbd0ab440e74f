# Read by the seven programs beside it: their argument, and the folders that the benchmarking harness uses.
# Set in the environment, when the defaults do not do:
#   THOR_BIN      folder of thor and thor-eval (the top of this project)
#   THOR_MODEL    model folder (data/sst2-tiny)
#   THOR_OPTIONS  options for every call, e.g. --compact
#   THOR_TOKENS   length bucket (the longest that the model was calibrated for)
#   THOR_DEVICE   where the server computes (cpu)
set -eu
top=$(realpath "$(dirname "$(realpath "$0")")/../..")
bin=${THOR_BIN:-$top}
model=${THOR_MODEL:-$top/data/sst2-tiny}
options=${THOR_OPTIONS:-}
bucket=${THOR_TOKENS:+--tokens $THOR_TOKENS}

case ${1:-} in
0) instance=single ;;
1) instance=small ;;
2) instance=medium ;;
3) instance=large ;;
*)
    echo "usage: $(basename "$0") SIZE [THREADS]   (SIZE 0 single, 1 small, 2 medium, 3 large)" >&2
    exit 2
    ;;
esac
[ -z "${2:-}" ] || options="$options --threads $2"

input=datasets/$instance/intermediate/test_input.txt # of the harness; one JSON object a line
[ -e "$input" ] || input=datasets/$instance/intermediate/test_pixels.txt # its name in older ones
io=io/$instance
secret=$io/secret_key             # the client's half of the keys: stays here
public=$io/public_keys            # the server's half
between=$io/intermediate
upload=$io/ciphertexts_upload
download=$io/ciphertexts_download
weights=io/server_data/weights.thor # of any size, kept between runs

say() { echo "         [submission] $*"; }
need() { [ -e "$1" ] || { echo "$(basename "$0"): $1 is not there; run $2 first" >&2; exit 3; }; }
