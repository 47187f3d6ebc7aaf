# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Completion of mcp-optimizer's command line for bash. The program answers what can stand at the
# cursor; its answer is described in src/command/complete.c. Names come from outside: they are never
# expanded (compgen -W would do that), and are quoted as they are inserted.

_mcp_optimizer() {
        local text=$2 line=${COMP_LINE:0:COMP_POINT} words=() word gap head answer quoted

        # Bash splits words also at "=" and ":"; what stands together in the line is one to the program.
        for word in "${COMP_WORDS[@]:0:COMP_CWORD}"; do
                gap=${line%%[![:space:]]*}
                line=${line#"$gap$word"}
                if [[ $gap || ${#words[@]} -eq 0 ]]; then
                        words+=("$word")
                else
                        words[-1]+=$word
                fi
        done
        word=${line#"${line%%[![:space:]]*}"}
        if [[ $word == "$line" ]]; then
                word=${words[-1]}$word
                unset 'words[-1]'
        fi
        words=("${words[@]:1}" "$word")

        # Readline replaces the text; what stands before it, perhaps with an open quote, stays.
        head=${word%"$text"}

        COMPREPLY=()
        # By its name, not as it was typed: a program of whatever folder must not run at a key.
        while IFS= read -r answer; do
                answer=${answer%%$'\t'*} # bash shows no descriptions
                if [[ ! $answer ]]; then
                        compopt -o filenames 2>/dev/null
                        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${text//\\/}")
                        continue
                fi
                answer=${answer#"${head//[\"\'\\]/}"}
                printf -v quoted %q "$answer"
                # Behind an open quote nothing can be quoted: only what need not be goes there.
                if [[ $head != *[\"\'] ]]; then
                        COMPREPLY+=("$quoted")
                elif [[ $quoted == "$answer" ]]; then
                        COMPREPLY+=("$answer")
                fi
        done < <(command mcp-optimizer complete "${words[@]//[\"\'\\]/}" 2>/dev/null)
}

complete -F _mcp_optimizer mcp-optimizer
