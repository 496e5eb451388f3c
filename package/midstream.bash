# bash completion of midstream: its options, then the command's own completion.
_midstream() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --config | --log | --reach | --tls) ((i++)) ;;
        --)
            ((i++))
            break
            ;;
        -* | =) ;;
        *) break ;;
        esac
    done
    if ((i < COMP_CWORD)) || { ((i == COMP_CWORD)) && [[ $cur != -* && $prev != --config && $prev != --log ]]; }; then
        if declare -F _command_offset >/dev/null; then
            _command_offset "$i"
        elif declare -F _comp_command_offset >/dev/null; then
            _comp_command_offset "$i"
        else
            mapfile -t COMPREPLY < <(compgen -c -- "$cur")
        fi
        return
    fi
    case $prev in
    --log) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug trace' -- "$cur") ;;
    --config) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    *) mapfile -t COMPREPLY < <(compgen -W '--config --log --strict --reach=auto --reach=all --reach=off --version --help --' -- "$cur") ;;
    esac
} && complete -o filenames -F _midstream midstream
