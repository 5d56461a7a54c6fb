#!/usr/bin/env bash
# changed_submissions.sh BASE: the folders submissions/<protocol>/<method_id> that a pull request adds, each ended by a
# zero byte. Run in a checkout of the pull request's head. Exit code 1, with the reason, where the pull request is
# anything but new folders: one that is there already is somebody's who waits, and stays as it was handed in.
set -euo pipefail

refuse() {
  printf 'refused: %s\n' "$1" >&2
  exit 1
}

base=${1:?name the commit of the target branch}

# Without one common ancestor there is no telling what the pull request changes.
bases=$(git merge-base --all "$base" HEAD) || refuse "no common ancestor with $base; start from the target branch"
[ "$(wc -l <<< "$bases")" = 1 ] || refuse "several common ancestors with $base; rebase onto the target branch"

# Plumbing, which no setting and no file of the pull request changes. A rename is a deletion and an addition.
changes=$(mktemp)
trap 'rm -f "$changes"' EXIT
git diff-tree -r -z --raw --no-renames --ignore-submodules=none "$bases" HEAD > "$changes"

folders=()
while IFS= read -r -d '' change; do
  IFS= read -r -d '' path
  read -r _ mode _ _ status <<< "$change"
  name=$(printf '%q' "$path")
  [[ $path == submissions/* ]] || refuse "$name is no part of a submission; open another pull request for it"
  [ "$status" != D ] || refuse "$name is deleted or renamed; a submission takes nothing away"
  case $mode in
    100644) ;;
    100755) refuse "$name is executable; hand in plain files (chmod 644)" ;;
    120000) refuse "$name is a symbolic link; put the file itself there" ;;
    160000) refuse "$name is a submodule; put its files there" ;;
    *) refuse "$name has mode $mode; hand in plain files" ;;
  esac
  [[ $path =~ ^(submissions/[^/]+/[^/]+)/ ]] || refuse "$name lies in no folder submissions/<protocol>/<method_id>"
  folder=${BASH_REMATCH[1]}
  ! git cat-file -e "$bases:$folder" 2> /dev/null ||
    refuse "$(printf '%q' "$folder") is there already; who handed it in asks a maintainer to take it out first"
  folders+=("$folder")
done < "$changes"

[ "${#folders[@]}" -gt 0 ] || refuse "no submission is added"
printf '%s\0' "${folders[@]}" | sort -zu
