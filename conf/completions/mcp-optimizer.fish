# SPDX-License-Identifier: Apache-2.0
#
# Completion of mcp-optimizer's command line for fish. The program answers what can stand at the
# cursor; its answer, described in src/command/complete.c, is what fish reads: a candidate, a tab,
# a description. fish quotes what it inserts.

function __mcp_optimizer_complete
    set -l words (commandline -opc)
    set -l word (string replace -ra '["\'\\\\]' '' -- (commandline -ct))

    # By its name, not as it was typed: a program of whatever folder must not run at a key.
    for answer in (command mcp-optimizer complete $words[2..] "$word" 2>/dev/null)
        if not string match -q \t'*' -- $answer
            printf '%s\n' $answer
            continue
        end

        set -l option (string match -r '^--[^=]+=' -- "$word")
        for path in (__fish_complete_path (string replace -r '^--[^=]+=' '' -- "$word"))
            printf '%s\n' "$option$path"
        end
    end
end

complete -c mcp-optimizer -f -a '(__mcp_optimizer_complete)'
