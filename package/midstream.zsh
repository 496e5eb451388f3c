#compdef midstream
# zsh completion of midstream: its options, then the command's own completion.
_arguments -S \
    '--config=[the configuration]:file:_files' \
    '--log=[what is logged]:level:(off error warn info debug trace)' \
    '--strict[refuse to start what cannot be reached]' \
    '(- *)--version[print the versions]' \
    '(- *)'{-h,--help}'[print help]' \
    '(-):command:_command_names -e' \
    '*::arguments:_normal'
